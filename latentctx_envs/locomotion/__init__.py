"""dm_control's planar cheetah and walker; the context is what they are rewarded for."""
