"""Training on several nodes: the train task creates a Kubeflow TrainJob, follows it and publishes its result."""
