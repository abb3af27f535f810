"""Images of containers, as the Open Container Initiative's image-spec has them, and as docker save writes them."""
