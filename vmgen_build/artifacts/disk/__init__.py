"""A machine's disks as sparse raw images, made without mounting, loop devices or device mapper."""
