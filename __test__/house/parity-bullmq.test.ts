import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as bullmq from '../../ts/compat/bullmq/index.js';
import { bullmqMembers } from '../helpers/bullmq-members.js';

const root = join(import.meta.dirname, '..', '..');
const text = readFileSync(join(root, 'docs', 'parity', 'bullmq.md'), 'utf8');

interface Row {
  names: string[];
  here: string;
  shown: string;
}

const rows: Row[] = text
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => {
    const [names = '', here = '', shown = ''] = line
      .slice(2, -2)
      .split(' | ')
      .map((cell) => cell.trim());
    return { names: [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string), here, shown };
  });

describe('docs/parity/bullmq.md', () => {
  const members = bullmqMembers();
  const listed = rows.flatMap(({ names }) => names);

  it('has one row for every export, member, option and event of the stock package, and no other', () => {
    expect(members.filter((member) => !listed.includes(member))).toEqual([]);
    expect(listed.filter((name) => !members.includes(name))).toEqual([]);
    expect(listed.filter((name, index) => listed.indexOf(name) !== index)).toEqual([]);
  });

  it('puts nothing off', () => {
    expect(rows.filter(({ here, shown }) => /not yet|todo|planned/i.test(`${here} ${shown}`))).toEqual([]);
  });

  it('names a test that there is, or says why there is none', () => {
    const wrong = rows.filter(({ here, shown }) => {
      const [, file, title] = /^`([^`]+)` › (.+)$/.exec(shown) ?? [];
      if (!file) return here !== 'absent' || shown.length < 20;
      const source = readFileSync(join(root, file), 'utf8');
      return !source.includes(`'${title}'`) && !source.includes(`"${title}"`);
    });
    expect(wrong).toEqual([]);
  });

  it('calls absent what is absent, and nothing else', () => {
    const ours: Record<string, unknown> = { ...bullmq };
    const isHere = (name: string): boolean | undefined => {
      const [owner = '', member = ''] = name.split('.');
      if (!member) return name.includes(' ') ? undefined : Object.hasOwn(ours, name);
      const owned = ours[owner] as { prototype?: object } | undefined;
      // Options and fields of objects show in types and tests alone.
      return typeof owned?.prototype === 'object' && (member in owned.prototype || member in owned) ? true : undefined;
    };
    const wrong = rows.flatMap(({ names, here }) =>
      names.filter((name) => isHere(name) !== undefined && isHere(name) !== (here !== 'absent')),
    );
    expect(wrong).toEqual([]);
  });
});
