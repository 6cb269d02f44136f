"""Which networks torchvision has ImageNet weights for; planning reads this without torch."""

WEIGHTS = {
    "resnet18-imagenet": (
        "ResNet18_Weights.IMAGENET1K_V1",
        "resnet18-f37072fd.pth",
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
    ),
    "resnet34-imagenet": (
        "ResNet34_Weights.IMAGENET1K_V1",
        "resnet34-b627a593.pth",
        "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f",
    ),
    "resnet50-imagenet": (
        "ResNet50_Weights.IMAGENET1K_V1",
        "resnet50-0676ba61.pth",
        "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    ),
    "resnet101-imagenet": (
        "ResNet101_Weights.IMAGENET1K_V1",
        "resnet101-63fe2227.pth",
        "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a",
    ),
    "resnet152-imagenet": (
        "ResNet152_Weights.IMAGENET1K_V1",
        "resnet152-394f9c45.pth",
        "394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58",
    ),
    "vgg11": ("VGG11_BN_Weights.IMAGENET1K_V1", "vgg11_bn-6002323d.pth", "6002323d"),
    "vgg13": ("VGG13_BN_Weights.IMAGENET1K_V1", "vgg13_bn-abd245e5.pth", "abd245e5"),
    "vgg16": (
        "VGG16_BN_Weights.IMAGENET1K_V1",
        "vgg16_bn-6c64b313.pth",
        "6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a",
    ),
    "vgg19": (
        "VGG19_BN_Weights.IMAGENET1K_V1",
        "vgg19_bn-c79401a0.pth",
        "c79401a0cf3cb42714e4182f5868c7a6f4f4534f5df9e956e2bb2098de41cbb6",
    ),
}
"""Network → torchvision's name of the weights, their file, and its SHA-256 or the first eight
digits of it, which torchvision puts into the file's name."""
