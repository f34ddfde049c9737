// SPDX-License-Identifier: Apache-2.0
import { describeField, type Field } from './fields.js';
import { flagName, textOf } from './flags.js';
import { CONFIG_KEYS, fieldOf } from './schema.js';

/** A JSON Schema (draft 7) of configuration files: editors that are given it complete and check keys. */
export function toJsonSchema(): Record<string, unknown> {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'tfgeo training run',
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(CONFIG_KEYS.map((key) => [key, propertyOf(fieldOf(key))])),
  };
}

function propertyOf(field: Field<unknown>): Record<string, unknown> {
  const about = { description: field.help, default: field.default };
  const { min, max, above } = field;
  const bounds = {
    ...(min === undefined ? {} : { [above ? 'exclusiveMinimum' : 'minimum']: min }),
    ...(max === undefined ? {} : { maximum: max }),
  };
  const orNull = (type: string) => (field.nullable ? [type, 'null'] : type);
  switch (field.kind) {
    case 'integer':
    case 'number':
      return { type: orNull(field.kind), ...bounds, ...about };
    case 'boolean':
      return { type: 'boolean', ...about };
    case 'text':
      return { type: orNull('string'), minLength: 1, ...about };
    case 'choice':
      return { enum: [...field.choices!], ...about };
    case 'integers':
      return { type: 'array', items: { type: 'integer', ...bounds }, ...about };
    case 'record': {
      const entries = field.entries === 'number' ? { type: 'number', ...bounds } : true;
      return { type: 'object', additionalProperties: entries, ...about };
    }
  }
}

/** The keys as Markdown tables, one for each group. */
export function configTables(): string {
  const groups = [...new Set(CONFIG_KEYS.map((key) => fieldOf(key).group))];
  const cell = (words: string) => words.replaceAll('|', '\\|');
  return groups
    .map((group) => {
      const rows = CONFIG_KEYS.filter((key) => fieldOf(key).group === group).map((key) => {
        const field = fieldOf(key);
        const cells = [
          `\`${key}\``,
          `\`--${flagName(key)}\``,
          describeField(field),
          textOf(field.default),
          field.help,
        ];
        return `| ${cells.map(cell).join(' | ')} |`;
      });
      return `### ${group}\n\n| key | flag | takes | default | meaning |\n|---|---|---|---|---|\n${rows.join('\n')}\n`;
    })
    .join('\n');
}
