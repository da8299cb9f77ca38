"""The project file that `init` writes. Every key is there; those commented out show the default."""

TEMPLATE = """\
# green-edge project file. Options on the command line and GREEN_EDGE_* win over it.
# File names are relative to this file's folder.

[model]
path = "model.keras"            # .keras, .h5, a SavedModel folder, or a float .tflite
# name = "model"                # by default the file's stem
# labels = "labels.txt"         # one class name a line, in the order of the output
# pipeline = "pipeline.json"    # pre- and post-processing as data

[build]
# targets = ["host"]            # host, pi4, pi5
# train = "train.npz"           # npz (x, y), a folder of images, csv, or module:function
# calibration = "train.npz"     # by default a seeded sample of train
# calibration_samples = 200     # at most so many of them
# eval = "test.npz"             # without it the int8 model is compared with the float model
# max_drop_pp = 2.0             # accuracy you are willing to lose, in percentage points
# recipe = "quantize"           # repairs int8; prune, low-rank ... shrink first; or a file
# out = "build"
# seed = 0

[fleet]
# site = "home"                 # first level of the devices' topics
# broker = "mqtt://user:password@host:1883"     # without it 'green-edge up' starts one
# store = "sqlite:////var/lib/green-edge/green-edge.db"
# artefacts = "http://host:8080"
"""
