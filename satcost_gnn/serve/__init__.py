"""What a user calls: checkpoints, predictions, explanations."""
