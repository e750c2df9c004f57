"""`python -m latentctx_agents.cli`."""

from latentctx_agents.cli.main import main

if __name__ == "__main__":
    main()
