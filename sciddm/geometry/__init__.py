"""Where voxels lie: affines and grids in millimetres."""
