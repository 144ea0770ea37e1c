"""What crosses the wire: packets, the catalogue, money, numbered errors and every bound."""
