/** What the commands of a client refuse before they connect, what they say, and what shells complete. */
import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { rangesOf, Tally } from '../../src/cli/rooms/tally.ts';
import { Waits } from '../../src/cli/rooms/waits.ts';
import { grantOf, lifeOf } from '../../src/cli/token/options.ts';
import { pipes } from '../support/pipes.ts';
import { SECRET, secondsFromNow, token } from '../support/tokens.ts';

interface Said {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function roomcast(
  args: readonly string[],
  env: Record<string, string> = {},
  input = '',
): Promise<Said> {
  const said = { stdout: '', stderr: '' };
  const stdout = (text: string) => {
    said.stdout += text;
  };
  const exitCode = await run(args, {
    env,
    terminal: false,
    stderrTerminal: false,
    stdout,
    stderr: (text) => {
      said.stderr += text;
    },
    pipes: pipes([input], stdout),
    serve: () => Promise.reject(new Error('no node is wanted')),
  });
  return { exitCode, ...said };
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roomcast-cli-rooms-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('a wrong command line', () => {
  it.each([
    ['sub', "missing required argument 'room'"],
    ['sub a --count 0', 'It must be a whole number from 1'],
    ['sub a --timeout 0', 'It must be more than 0'],
    ['sub a --idle never', 'It must be a number from 0'],
    ['sub a --since 42', 'It must be an epoch and an offset, such as h8ak4ujy,42'],
    ['sub a --since abc,99999999999999999', 'It must be an epoch and an offset'],
    ['sub a b --since abc,1', '--since is a position in one room'],
    ['sub a --since abc,1 --last 5', '--since and --last exclude each other'],
    ['sub a --format %q', '--format: "%q" is unknown'],
    ['sub a --url localhost', 'It must be a URL such as ws://localhost:8080'],
    ['sub a --token x --token-file y', "cannot be used with option '--token-file <file>'"],
    ['pub', "missing required argument 'room'"],
    ['pub a b c', 'too many arguments'],
    ['pub a b --json --binary', '--json and --binary exclude each other'],
    ['pub a --key k', '--key is for one message'],
    ['pub a b --key k --key-from line', '--key and --key-from exclude each other'],
    ['pub a --key-from data', 'Allowed choices are line'],
    ['pub a b --ephemeral --key k', '--ephemeral messages have no key'],
    ['pub a b --ephemeral --results', 'no --results'],
    ['pub a { --json --url ws://127.0.0.1:1', 'the message is not JSON'],
    ['history a --all --last 3', '--last, --since and --all exclude each other'],
    ['history a --format %q', '--format: "%q" is unknown'],
    ['members', "missing required argument 'room'"],
    ['token mint', "required option '--user <id>' not specified"],
    ['token mint --user a --expires-in 5', 'It must be a number and one of s, m, h and d'],
    ['token mint --user a --info {', 'It must be JSON'],
    ['token mint --user a --key-id k', '--key-id is for --key-file'],
    [`token mint --user a --id ${'x'.repeat(257)}`, '--id must be 1 to 256 bytes'],
    ['completion tcsh', 'Allowed choices are bash, zsh, fish'],
  ])('gets 2: %s', async (line, says) => {
    const { exitCode, stdout, stderr } = await roomcast(line.split(' '));
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain(says);
  });

  it('gets 2 where ROOMCAST_URL is wrong, without the secrets in it', async () => {
    const { exitCode, stderr } = await roomcast(['sub', 'a'], {
      ROOMCAST_URL: 'ws://ok, ftp://me:hush@host',
    });
    expect(exitCode).toBe(2);
    expect(stderr).toBe(
      'environment ROOMCAST_URL: "ftp://me:***@host" is not a URL such as ws://localhost:8080\n',
    );
  });

  it.each(['sub', 'pub', 'members', 'history'])(
    '%s has a help with examples and exit codes',
    async (name) => {
      const { exitCode, stdout } = await roomcast([name, '--help']);
      expect(exitCode).toBe(0);
      expect(stdout).toContain(`\n  roomcast ${name} `);
      expect(stdout).toContain(
        'Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 no connection, 124 timeout',
      );
      expect(stdout).toMatch(/--token <token>.*\n?.*can see it/);
    },
  );

  it('nodes do not take the variables of a client for settings that they do not know', async () => {
    const env = { ROOMCAST_URL: 'ws://localhost', ROOMCAST_TOKEN: 'x' };
    expect(await roomcast(['config', 'check'], env)).toMatchObject({ exitCode: 0 });
  });
});

describe('what pub says in the end', () => {
  it('names the lines that were not acknowledged', () => {
    const tally = new Tally();
    for (let line = 1; line <= 10; line++) tally.sent(line);
    for (const line of [1, 2, 6, 8, 9, 10]) tally.acknowledge(line);
    expect(tally.summary()).toBe('6 of 10 messages acknowledged; not acknowledged: line 3-5, 7');
  });

  it('has nothing to add about a single message', () => {
    const tally = new Tally();
    tally.sent(null);
    expect(tally.summary()).toBeNull();
  });

  it('sums up numbers', () => {
    expect(rangesOf([1, 2, 3, 5, 7, 8])).toBe('1-3, 5, 7-8');
  });
});

describe('what a command waits for', () => {
  const watched = () => {
    const said: string[] = [];
    const waits = new Waits({ begun: (reason) => said.push(reason), ended: () => said.push('over') });
    return { waits, said };
  };
  const unavailable = (id: number) => ['error', id, 'unavailable', 'no Redis'];

  it('is told once, until something of it is done', () => {
    const { waits, said } = watched();
    for (const id of [1, 2, 3]) {
      waits.sent(['publish', id, 'a', 'x', {}]);
      waits.received(id < 3 ? unavailable(id) : ['ok', id, {}]);
      expect(waits.reason === null).toBe(id === 3);
    }
    expect(said).toEqual(['nothing can be published in a now: unavailable: no Redis', 'over']);
  });

  it('is over when everything that was refused is done, or refused for good', () => {
    const { waits, said } = watched();
    for (const [id, room] of ['a', 'b'].entries()) waits.sent(['join', id + 1, room, {}]);
    waits.received(unavailable(1));
    waits.received(unavailable(2));
    waits.sent(['join', 3, 'a', {}]);
    waits.received(['ok', 3, {}]);
    expect(waits.reason).toBe('b cannot be joined now: unavailable: no Redis');
    waits.sent(['join', 4, 'b', {}]);
    waits.received(['error', 4, 'forbidden', 'not yours']);
    expect(said).toEqual(['a cannot be joined now: unavailable: no Redis', 'over']);
  });

  it('is neither what goes too fast, nor a signal, nor what another connection was asked', () => {
    const { waits, said } = watched();
    waits.sent(['publish', 1, 'a', 'x', {}]);
    waits.received(['error', 1, 'rate_limited', 'slower']);
    waits.sent(['publish', 4, 'a', 'x', { ephemeral: true }]);
    waits.received(unavailable(4));
    waits.sent(['publish', 2, 'a', 'x', {}]);
    waits.received(['hello', {}]);
    waits.received(unavailable(2));
    expect(said).toEqual([]);
  });
});

describe('roomcast token', () => {
  const env = { ROOMCAST_AUTH_SECRET: SECRET };

  it('mints what it finds good itself, without printing the token again', async () => {
    const args = [
      '--user',
      'ann',
      '--id',
      'login-17',
      '--expires-in',
      '1h',
      '--info',
      '{"name":"Ann"}',
      '--room',
      'chat:*',
      '--room',
      'news=join',
    ];
    const minted = await roomcast(['token', 'mint', ...args], env);
    expect(minted).toMatchObject({ exitCode: 0, stderr: '' });
    const { exitCode, stdout } = await roomcast(['token', 'inspect'], env, minted.stdout);
    expect(exitCode).toBe(0);
    const { claims, header, ...verdict } = JSON.parse(stdout);
    expect(header).toEqual({ alg: 'HS256' });
    expect(claims).toMatchObject({
      sub: 'ann',
      jti: 'login-17',
      info: { name: 'Ann' },
      rooms: [
        { match: 'chat:*', join: true, publish: true },
        { match: 'news', join: true, publish: false },
      ],
    });
    expect(claims.exp - claims.iat).toBeGreaterThanOrEqual(3600);
    expect(verdict).toEqual({ expires: expect.any(String), accepted: true, checked: true, reason: null });
    expect(stdout).not.toContain(minted.stdout.trim().split('.')[2]);
  });

  it('warns of a token for every room', async () => {
    const { exitCode, stderr } = await roomcast(['token', 'mint', '--user', 'ann'], env);
    expect(exitCode).toBe(0);
    expect(stderr).toContain('every room');
  });

  it('says that a token without grants is for nothing where nodes deny by default', async () => {
    const { stderr } = await roomcast(['token', 'mint', '--user', 'ann'], {
      ...env,
      ROOMCAST_DEFAULT_DENY: 'true',
    });
    expect(stderr).toContain('may do nothing, because defaultDeny is on');
  });

  it.each(['rsa', 'ec', 'ed25519'] as const)('signs with a private key: %s', async (kind) => {
    const options = { rsa: { modulusLength: 2048 }, ec: { namedCurve: 'prime256v1' }, ed25519: {} }[kind];
    const { privateKey, publicKey } = generateKeyPairSync(kind as 'ec', options as { namedCurve: string });
    const [own, open] = [join(folder, `${kind}.pem`), join(folder, `${kind}-public.pem`)];
    writeFileSync(own, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    writeFileSync(open, publicKey.export({ type: 'spki', format: 'pem' }));
    const minted = await roomcast([
      'token',
      'mint',
      '--user',
      'a',
      '--key-file',
      own,
      '--key-id',
      'k1',
      '--room',
      '*',
    ]);
    expect(minted).toMatchObject({ exitCode: 0, stderr: '' });
    const inspected = await roomcast(['token', 'inspect'], {
      ROOMCAST_AUTH_PUBLIC_KEY_FILE: open,
      ROOMCAST_TOKEN: minted.stdout,
    });
    expect(inspected.exitCode).toBe(0);
    expect(JSON.parse(inspected.stdout)).toMatchObject({ header: { kid: 'k1' }, accepted: true });
  });

  it('says that there is nothing to sign with', async () => {
    const { exitCode, stderr } = await roomcast(['token', 'mint', '--user', 'a']);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('set ROOMCAST_AUTH_SECRET');
  });

  it.each([
    [
      'another key',
      { sub: 'ann' },
      { ROOMCAST_AUTH_SECRET: 'another secret, also of more than 32 bytes' },
      'signature',
    ],
    ['a past date', { sub: 'ann', exp: secondsFromNow(-60) }, env, 'the token has expired'],
    ['a past date, without a key', { sub: 'ann', exp: secondsFromNow(-60) }, {}, 'the token has expired'],
    ['no user', {}, env, 'sub must be 1 to 100 bytes'],
  ])('does not accept a token with %s', async (_, claims, settings, reason) => {
    const { exitCode, stdout } = await roomcast(['token', 'inspect'], settings, await token(claims));
    expect(exitCode).toBe(3);
    const verdict = JSON.parse(stdout);
    expect(verdict).toMatchObject({ accepted: false });
    expect(verdict.reason).toContain(reason);
  });

  it('says when it could not check the signature', async () => {
    const { exitCode, stdout } = await roomcast(['token', 'inspect'], {}, await token({ sub: 'ann' }));
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      checked: false,
      reason: expect.stringContaining('not checked'),
    });
  });

  it.each(['', 'hush', 'a.b.c', 'W10.W10.x'])(
    'fails for what is no token, without printing it: "%s"',
    async (text) => {
      const { exitCode, stdout, stderr } = await roomcast(['token', 'inspect'], env, text);
      expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
      expect(stderr).toBe(
        'this is no JSON Web Token: it must have three parts in base64url, separated by dots\n',
      );
    },
  );

  it('reads lives and grants', () => {
    expect(['90s', '15m', '12h', '30d', 'never'].map(lifeOf)).toEqual([
      90_000,
      900_000,
      43_200_000,
      2_592_000_000,
      null,
    ]);
    for (const wrong of ['', '0m', '5', '1w', '-1s', '1.5h'])
      expect(() => lifeOf(wrong)).toThrow('such as 15m');
    expect(grantOf('a=b')).toEqual({ match: 'a=b', join: true, publish: true });
    expect(grantOf('a=b=publish')).toEqual({ match: 'a=b', join: false, publish: true });
    expect(grantOf('x=publish,join')).toEqual({ match: 'x', join: true, publish: true });
    expect(grantOf('stage:*=join,members,-history')).toEqual({
      match: 'stage:*',
      ...{ join: true, publish: false, members: true, history: false },
    });
    expect(grantOf('a=reads')).toEqual({ match: 'a=reads', join: true, publish: true });
  });
});

describe('roomcast completion', () => {
  /** What bash offers after these words. */
  async function offered(...words: string[]): Promise<string[]> {
    const { stdout } = await roomcast(['completion', 'bash']);
    const script = `${stdout}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _roomcast; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const answer = execFileSync('bash', ['-c', script, 'bash', 'roomcast', ...words], {
      encoding: 'utf8',
      cwd: folder,
    });
    return answer.split('\n').filter((word) => word !== '');
  }

  it('offers commands, subcommands and options', async () => {
    expect(await offered('s')).toEqual(['serve', 'sub']);
    expect(await offered('config', '')).toEqual(['check', 'print', '--help']);
    expect(await offered('token', 'mint', '--k')).toEqual(['--key-file', '--key-id']);
    expect(await offered('sub', 'lobby', '--t')).toEqual(['--token', '--token-file', '--timeout']);
    expect(await offered('sub', 'config', '--co')).toEqual(['--count', '--connect-timeout']);
  });

  it('offers files where an option takes one', async () => {
    writeFileSync(join(folder, 'positions.json'), '{}');
    expect(await offered('sub', 'lobby', '--position-file', 'posi')).toEqual(['positions.json']);
  });

  it('offers nothing that is hidden', async () => {
    expect(await offered('config', 'd')).toEqual([]);
  });

  it('names every option of every command for fish, quoted', async () => {
    const { stdout } = await roomcast(['completion', 'fish']);
    expect(stdout).toContain(
      "complete -c roomcast -n '__fish_seen_subcommand_from sub' -l position-file -r -F -d ",
    );
    expect(stdout).toContain(
      "-n 'not __fish_seen_subcommand_from serve config doctor bench sub pub members history token apikey revoke completion' -f -a sub",
    );
    // Of each line the quotes close; its strings hold nothing that ends them.
    for (const line of stdout.trimEnd().split('\n'))
      expect(line.replaceAll("\\'", '').split("'").length % 2).toBe(1);
  });

  it('offers the same in fish, where that is here', async () => {
    const { stdout } = await roomcast(['completion', 'fish']);
    writeFileSync(join(folder, 'completion.fish'), stdout);
    const offer = (line: string) =>
      spawnSync(
        'fish',
        ['--no-config', '-c', `source completion.fish; complete -C ${JSON.stringify(line)}`],
        {
          encoding: 'utf8',
          cwd: folder,
          env: { ...process.env, HOME: folder },
        },
      );
    const words = [
      ['roomcast s', 'serve sub'],
      ['roomcast token mint --k', '--key-file --key-id'],
      ['roomcast sub config --co', '--connect-timeout --count'],
      ['roomcast config d', ''],
    ] as const;
    for (const [line, expected] of words) {
      const answer = offer(line);
      if (answer.error !== undefined) return;
      const lines = answer.stdout.split('\n').map((one) => one.split('\t')[0]);
      expect({ line, words: lines.join(' ').trim() }).toEqual({ line, words: expected });
    }
  });

  /** zsh completes only where it edits a line, so it gets a terminal. It hangs, and is ended, where it offers something else. */
  it('offers the same in zsh, where that is here', async () => {
    const { stdout } = await roomcast(['completion', 'zsh']);
    writeFileSync(join(folder, 'completion.zsh'), stdout);
    const script = `
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "stty -echo; PS1=''; autoload -U compinit && compinit -u -D; source ./completion.zsh; bindkey '^I' list-choices; echo READ''Y"
zpty -r z out '*READY*'
for line words in "$@"; do
  zpty -w -n z "$line"$'\t'
  zpty -r z out "*$~words*"
  zpty -w -n z $'\x15'
done
print done`;
    const words = ['roomcast s', 'serve*sub', 'roomcast token mint --k', '--key-file*--key-id'];
    const options = {
      encoding: 'utf8',
      cwd: folder,
      env: { ...process.env, HOME: folder },
      timeout: 20_000,
    } as const;
    const answer = spawnSync('zsh', ['-f', '-c', script, 'zsh', ...words], options);
    if ((answer.error as NodeJS.ErrnoException | undefined)?.code !== 'ENOENT')
      expect(answer.stdout).toBe('done\n');
  });

  it('is a script that its shell can read, where the shell is here', async () => {
    for (const shell of ['bash', 'zsh', 'fish'] as const) {
      const { exitCode, stdout } = await roomcast(['completion', shell]);
      expect(exitCode).toBe(0);
      const file = join(folder, `completion.${shell}`);
      writeFileSync(file, stdout);
      const { error, status, stderr } = spawnSync(shell, ['-n', file], { encoding: 'utf8' });
      if (error === undefined) expect({ shell, status, stderr }).toEqual({ shell, status: 0, stderr: '' });
    }
  });
});

it('the table of exit codes in the documentation is that of the program', async () => {
  const { EXIT } = await import('../../src/cli/exit-codes.ts');
  const page = readFileSync(join(import.meta.dirname, '../../docs/command-line.md'), 'utf8');
  const told = [...page.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code));
  expect(told).toEqual(Object.values(EXIT));
});
