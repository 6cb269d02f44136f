"""Recipes: lists of phases, one file each."""
