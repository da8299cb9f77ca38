"""Measurements that anybody can repeat, and their recorded results."""
