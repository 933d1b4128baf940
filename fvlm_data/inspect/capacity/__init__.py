"""What a larger archive will take, from what a store measured on the user's own sample."""
