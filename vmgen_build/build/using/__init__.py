"""What was made, used: run, entered, or installed where it is to stay."""
