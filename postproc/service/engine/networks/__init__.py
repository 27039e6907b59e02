"""Networks in processes of their own: what is asked of one, what runs there, and how the two speak."""
