"""Results in the forms of other tools: COCO, Arrow, Pascal VOC, YOLO."""
