// SPDX-License-Identifier: Apache-2.0

/**
 * What presets are meant to reach, as their papers and repositories say. Of detectors the average precision of boxes, of
 * backbones the top-1 accuracy on ImageNet-1K of the classifier that they come from. Nothing is published of what is not here.
 */
export const PUBLISHED_FIGURES: Readonly<Record<string, string>> = {
  // Zhu et al. 2021; github.com/fundamentalvision/Deformable-DETR
  'deformable-detr-r50-single-scale': 'COCO AP 39.4',
  'deformable-detr-r50-single-scale-dc5': 'COCO AP 41.5',
  'deformable-detr-r50': 'COCO AP 44.5',
  'deformable-detr-r50-refine': 'COCO AP 46.2',
  'deformable-detr-r50-two-stage': 'COCO AP 46.9',
  // Xu et al. 2021; github.com/mlpc-ucsd/CoaT
  'deformable-detr-coat-lite-small': 'COCO AP 47.0',
  'deformable-detr-coat-small': 'COCO AP 48.4',
  // Lee et al. 2022; github.com/youngwanLEE/MPViT
  'deformable-detr-mpvit-small': 'COCO AP 49.0',
  // github.com/timothygao8710/ScaleDet
  'scalemae-det': 'xView mAP 0.236',
  // Kamath et al. 2021; github.com/ashkamath/mdetr
  'mdetr-r101': 'Flickr30k R@1 82.5; RefCOCO P@1 86.8 fine-tuned',
  'mdetr-efficientnet-b3': 'Flickr30k R@1 82.9; RefCOCO P@1 87.5 fine-tuned',
  'mdetr-efficientnet-b5': 'Flickr30k R@1 83.7; RefCOCO R@1 73.4 pre-trained',
  // Liu et al. 2023; github.com/IDEA-Research/GroundingDINO
  'grounding-dino-tiny': 'COCO AP 48.4 zero-shot, 57.2 fine-tuned',
  'grounding-dino-base': 'COCO AP 56.7 (COCO among its data)',
  // Zhao et al. 2024; github.com/open-mmlab/mmdetection
  'mm-grounding-dino-tiny': 'COCO AP 50.4 zero-shot, 58.2 fine-tuned',

  // He et al. 2016, as torchvision trains them
  'resnet-18': 'ImageNet 69.8',
  'resnet-34': 'ImageNet 73.3',
  'resnet-50': 'ImageNet 76.1',
  'resnet-101': 'ImageNet 77.4',
  'resnet-152': 'ImageNet 78.3',
  // Tan and Le 2019
  'efficientnet-b0': 'ImageNet 77.1',
  'efficientnet-b1': 'ImageNet 79.1',
  'efficientnet-b2': 'ImageNet 80.1',
  'efficientnet-b3': 'ImageNet 81.6',
  'efficientnet-b4': 'ImageNet 82.9',
  'efficientnet-b5': 'ImageNet 83.6',
  'efficientnet-b6': 'ImageNet 84.0',
  'efficientnet-b7': 'ImageNet 84.3',
  // Liu et al. 2021; github.com/microsoft/Swin-Transformer, whose weights are not quite those of the paper
  'swin-tiny': 'ImageNet 81.2',
  'swin-small': 'ImageNet 83.2',
  'swin-base': 'ImageNet 83.5',
  'swin-base-w12': 'ImageNet 84.5 at 384',
  'swin-large': 'ImageNet 86.3, from ImageNet-22K',
  'swin-large-w12': 'ImageNet 87.3 at 384, from ImageNet-22K',
  // Liu et al. 2022, as torchvision trains them
  'swin-v2-tiny': 'ImageNet 82.1',
  'swin-v2-small': 'ImageNet 83.7',
  'swin-v2-base': 'ImageNet 84.1',
  // Lee et al. 2022; github.com/youngwanLEE/MPViT
  'mpvit-tiny': 'ImageNet 78.2',
  'mpvit-xsmall': 'ImageNet 80.9',
  'mpvit-small': 'ImageNet 83.0',
  'mpvit-base': 'ImageNet 84.3',
  // Xu et al. 2021; github.com/mlpc-ucsd/CoaT
  'coat-lite-tiny': 'ImageNet 77.5',
  'coat-lite-mini': 'ImageNet 79.1',
  'coat-lite-small': 'ImageNet 81.9',
  'coat-lite-medium': 'ImageNet 83.6',
  'coat-tiny': 'ImageNet 78.3',
  'coat-mini': 'ImageNet 81.0',
  'coat-small': 'ImageNet 82.1',
};
