// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';

/** Choices of an answer, and whether a deeper head makes it. */
interface AnswerHead {
  /** What stands between `answer_` and `_head` in names; empty where there is one answer for all. */
  name: string;
  choices: number;
  deep?: true;
}

/**
 * What MDETR's question answerers are asked, in the order of their queries. `gqa-whole` has one head for all of GQA's answers.
 * Source: Kamath et al. 2021, "MDETR", https://github.com/ashkamath/mdetr.
 */
export const QUESTION_SETS = {
  gqa: [
    { name: 'type', choices: 5 },
    { name: 'obj', choices: 3 },
    { name: 'rel', choices: 1594 },
    { name: 'attr', choices: 403 },
    { name: 'cat', choices: 678 },
    { name: 'global', choices: 111 },
  ],
  'gqa-whole': [{ name: '', choices: 1853 }],
  clevr: [
    { name: 'type', choices: 3 },
    { name: 'binary', choices: 1 },
    { name: 'reg', choices: 20, deep: true },
    { name: 'attr', choices: 15 },
  ],
} as const satisfies Record<string, readonly AnswerHead[]>;

export type QuestionSet = keyof typeof QUESTION_SETS;

/** Their names, for configurations. */
export const QUESTION_SET_NAMES = Object.keys(QUESTION_SETS) as [QuestionSet, ...QuestionSet[]];

/** Heads of a set with their names in files and in outputs (`answer_type_head`, `pred_answer_type`). */
export function answerHeads(set: QuestionSet): (AnswerHead & { inFile: string; output: string })[] {
  return QUESTION_SETS[set].map((head: AnswerHead) => {
    const middle = head.name === '' ? '' : `_${head.name}`;
    return { ...head, inFile: `answer${middle}_head`, output: `pred_answer${middle}` };
  });
}

/** Logits `[batch, choices]` by the reference's names. */
export type Answers = Readonly<Record<string, tf.Tensor2D>>;
