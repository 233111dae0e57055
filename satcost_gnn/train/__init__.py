"""From a labelled data set to a checkpoint."""
