"""What an OpenVZ bundle holds, and the configuration of a container in it, each written and read here."""
