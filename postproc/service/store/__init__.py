"""What the routes ask the database for."""
