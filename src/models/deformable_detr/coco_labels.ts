// SPDX-License-Identifier: Apache-2.0

/** Stands for a number that COCO gave to no class. */
const NONE = 'N/A';

/** COCO's classes by their numbers, 0 to 90; published Deformable DETRs have a logit for each. Source: Lin et al. 2014. */
export const COCO_LABELS: readonly string[] = [
  `${NONE},person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,${NONE}`,
  'stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe',
  `${NONE},backpack,umbrella,${NONE},${NONE},handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite`,
  `baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,${NONE},wine glass,cup,fork,knife,spoon`,
  'bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed',
  `${NONE},dining table,${NONE},${NONE},toilet,${NONE},tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven`,
  `toaster,sink,refrigerator,${NONE},book,clock,vase,scissors,teddy bear,hair drier,toothbrush`,
].flatMap((row) => row.split(','));
