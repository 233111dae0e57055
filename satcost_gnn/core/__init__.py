"""What every room speaks of: distributions over cost and named feature vectors."""
