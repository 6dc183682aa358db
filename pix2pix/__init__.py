"""pix2pix on plain folders: pairs in, a model out, pictures in, pictures out; no Kubeflow and no Pachyderm."""
