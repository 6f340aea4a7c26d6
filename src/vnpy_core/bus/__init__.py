"""The bus: from committed facts and market data to everyone who reads them."""
