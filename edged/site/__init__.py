"""What the site's own systems see of the gateway: retained state on its broker, entities in Home Assistant."""
