"""Videos without actions: of demonstrations, one file each, and clips of one length for pretraining."""

from latentctx_datasets.videos.clips import Clips, clips_root, open_clips
from latentctx_datasets.videos.demonstrations import Videos, write_videos

__all__ = ["Clips", "Videos", "clips_root", "open_clips", "write_videos"]
