"""The page on which people look at what a model says of their pictures and volumes."""
