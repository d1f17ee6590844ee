"""``safelist rejections``: what logs say was rejected, by whom, and what would have been let through."""
