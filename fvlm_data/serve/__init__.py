"""A server of one store's pages, volumes and searches, for the people of one machine."""
