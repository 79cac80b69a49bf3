"""What scripts/release tells of what is linked into a binary: an SBOM, and the licences."""
