<?php

/** Tests of the seeder without Laravel: `php containers/cachet/tests/seeder.php`. */

declare(strict_types=1);

use Seeder\Accounts;
use Seeder\Seeder;

require __DIR__.'/../seeder/Accounts.php';
require __DIR__.'/../seeder/Seeder.php';

/** Cachet's accounts in memory; tokens are "id|secret" and only their hash is kept, as in Cachet. */
final class Memory implements Accounts
{
    /** @var array<string, array{id: int, name: string, password: string}> */
    public array $users = [];

    /** @var array<int, array{user: int, name: string, abilities: list<string>, hash: string}> */
    public array $tokens = [];

    private int $ids = 0;

    public function find(string $email): ?int
    {
        return $this->users[$email]['id'] ?? null;
    }

    public function create(string $name, string $email, string $password): int
    {
        $this->users[$email] = ['id' => ++$this->ids, 'name' => $name, 'password' => $password];

        return $this->ids;
    }

    public function tokens(int $user, string $name): array
    {
        $own = array_filter($this->tokens, fn ($token) => $token['user'] === $user && $token['name'] === $name);

        return array_map(fn ($token) => $token['abilities'], $own);
    }

    public function identify(string $plainText): ?int
    {
        foreach ($this->tokens as $id => $token) {
            if (hash('sha256', $plainText) === $token['hash']) {
                return $id;
            }
        }

        return null;
    }

    public function issue(int $user, string $name, array $abilities): string
    {
        $plainText = ++$this->ids.'|'.bin2hex(random_bytes(8));
        $this->tokens[$this->ids] = [
            'user' => $user, 'name' => $name, 'abilities' => $abilities, 'hash' => hash('sha256', $plainText),
        ];

        return $plainText;
    }

    public function revoke(int $user, int $token): void
    {
        unset($this->tokens[$token]);
    }
}

/** What the tests say to the seeder each time. */
function seed(Memory $accounts, string $knownToken = '', string $email = 'admin@example.com', string $password = 'p'): ?string
{
    return (new Seeder($accounts, static fn (string $sentence) => null))->run('Admin', $email, $password, $knownToken);
}

function same(mixed $actual, mixed $expected): void
{
    if ($actual !== $expected) {
        throw new Exception('got '.var_export($actual, true).', expected '.var_export($expected, true));
    }
}

$tests = [
    'the first run makes the administrator and a token with exactly the abilities that are needed' => function () {
        $accounts = new Memory();
        $token = seed($accounts);
        same(count($accounts->users), 1);
        same($accounts->tokens(1, Seeder::TOKEN_NAME)[$accounts->identify((string) $token)], Seeder::ABILITIES);
        same(in_array('*', Seeder::ABILITIES, true), false);
    },
    'a second run with the known token changes and prints nothing' => function () {
        $accounts = new Memory();
        $token = seed($accounts);
        $before = serialize($accounts);
        same(seed($accounts, (string) $token), null);
        same(serialize($accounts), $before);
    },
    'a lost token is replaced, and the old one ends' => function () {
        $accounts = new Memory();
        $old = seed($accounts);
        $new = seed($accounts);
        same($new === null || $new === $old, false);
        same($accounts->identify((string) $old), null);
        same(count($accounts->tokens), 1);
    },
    'a token that was stored as its hash is no known token' => function () {
        $accounts = new Memory();
        $token = seed($accounts);
        same(seed($accounts, hash('sha256', (string) $token)) === null, false);
    },
    'a token with other abilities is replaced' => function () {
        foreach ([['*'], ['components.manage'], [...Seeder::ABILITIES, 'metrics.manage']] as $abilities) {
            $accounts = new Memory();
            $user = $accounts->create('Admin', 'admin@example.com', 'p');
            $token = $accounts->issue($user, Seeder::TOKEN_NAME, $abilities);
            same(seed($accounts, $token) === null, false);
            same($accounts->identify($token), null);
        }
    },
    'abilities in another order are the same' => function () {
        $accounts = new Memory();
        $user = $accounts->create('Admin', 'admin@example.com', 'p');
        $token = $accounts->issue($user, Seeder::TOKEN_NAME, array_reverse(Seeder::ABILITIES));
        same(seed($accounts, $token), null);
    },
    'tokens of people stay' => function () {
        $accounts = new Memory();
        $user = $accounts->create('Admin', 'admin@example.com', 'p');
        $token = $accounts->issue($user, 'my laptop', ['*']);
        seed($accounts);
        same($accounts->identify($token) === null, false);
    },
    'a token of that name that a run was cut off before ending is ended by the next one' => function () {
        $accounts = new Memory();
        $token = seed($accounts);
        $accounts->issue(1, Seeder::TOKEN_NAME, Seeder::ABILITIES);
        same(seed($accounts, (string) $token), null);
        same(count($accounts->tokens), 1);
    },
    'a password that was changed in Cachet stays' => function () {
        $accounts = new Memory();
        $accounts->create('Jane', 'admin@example.com', 'her own');
        seed($accounts, '', 'admin@example.com', '');
        same($accounts->users['admin@example.com']['password'], 'her own');
    },
    'what the environment lacks is said with its cure' => function () {
        $wrong = [['admin', 'p', 'CACHET_ADMIN_USERNAME'], ['', 'p', 'CACHET_ADMIN_USERNAME'], ['a@example.com', '', 'CACHET_ADMIN_PASSWORD']];
        foreach ($wrong as [$email, $password, $variable]) {
            $accounts = new Memory();
            try {
                seed($accounts, '', $email, $password);
                throw new Exception("$email was taken");
            } catch (RuntimeException $fault) {
                same(str_contains($fault->getMessage(), $variable), true);
            }
            same($accounts->users, []);
        }
    },
];

$failed = 0;
foreach ($tests as $name => $test) {
    try {
        $test();
        echo "ok   $name\n";
    } catch (Throwable $fault) {
        $failed++;
        echo "FAIL $name: {$fault->getMessage()}\n";
    }
}
printf("test result: %s. %d passed; %d failed\n", $failed ? 'FAILED' : 'ok', count($tests) - $failed, $failed);
exit($failed ? 1 : 0);
