"""What dnf, yum and zypper share: repositories with an index in repodata/."""
