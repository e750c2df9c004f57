"""AIME: imitation from observation by a world model that is not trained further (NeurIPS 2023), and what it is compared with."""
