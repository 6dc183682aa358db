"""The generate component: its Kubeflow definition and the stage that it runs."""
