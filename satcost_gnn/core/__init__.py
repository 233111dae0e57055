"""What every layer speaks of: distributions over cost and named feature vectors."""
