"""Names of the sets of scenes; does not import torch."""

DRAWN_SIZE = {"rail-scenes": (96, 160), "rail-scenes-192x320": (192, 320)}  # what the kit draws: height and width
SCENE_NAMES = (*DRAWN_SIZE, "railsem19", "railsem19-rail8", "cityscapes", "camvid", "voc", "berdiba")
STANDS_FOR = dict.fromkeys(DRAWN_SIZE, "the BerDiBa synthetic set") | {  # in the ledger of claims
    "camvid": "RailSem19",
    "railsem19-rail8": "all of RailSem19",
}
