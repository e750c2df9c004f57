"""The Franka kitchen: seven sub-tasks, of which a hidden sequence of four is wanted."""
