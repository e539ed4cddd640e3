<?php

declare(strict_types=1);

namespace Seeder;

use RuntimeException;

/** The administrator and the token that the deployment needs. Run again, it changes nothing. */
final class Seeder
{
    /** The name by which the token is known in Cachet's dashboard, and by which it is found again. */
    public const TOKEN_NAME = 'alertmanager-cachet';

    /** What the server's calls take, and nothing more. Reading needs no ability. */
    public const ABILITIES = [
        'components.manage',
        'components.delete',
        'component-groups.manage',
        'component-groups.delete',
        'incidents.manage',
        'incident-updates.manage',
    ];

    /** @param callable(string): void $say takes what was done, a sentence at a time */
    public function __construct(private readonly Accounts $accounts, private $say)
    {
    }

    /**
     * Makes sure of both, and gives the plain text of a new token, or null if the known one is good.
     *
     * A token is stored as a hash, so one that was lost cannot be read again: who does not know it gets another one, and
     * the old one ends.
     */
    public function run(string $name, string $email, string $password, string $knownToken): ?string
    {
        $user = $this->administrator($name, $email, $password);
        $tokens = $this->accounts->tokens($user, self::TOKEN_NAME);
        $known = $knownToken === '' ? null : $this->accounts->identify($knownToken);
        if ($known !== null && isset($tokens[$known]) && self::isExact($tokens[$known])) {
            ($this->say)('the token is known and has the abilities that it needs');
            $this->revoke($user, array_diff(array_keys($tokens), [$known]));

            return null;
        }
        // First the new one: if this is cut off in between, the next run still finds and ends the old one.
        $plainText = $this->accounts->issue($user, self::TOKEN_NAME, self::ABILITIES);
        ($this->say)('a token was made');
        $this->revoke($user, array_keys($tokens));

        return $plainText;
    }

    private function administrator(string $name, string $email, string $password): int
    {
        if (filter_var($email, FILTER_VALIDATE_EMAIL) === false) {
            throw new RuntimeException("CACHET_ADMIN_USERNAME is \"$email\", must be a mail address: correct it in .env");
        }
        $user = $this->accounts->find($email);
        if ($user !== null) {
            // Its password may have been changed in Cachet, and that one counts.
            ($this->say)("the administrator $email is there");

            return $user;
        }
        if ($password === '') {
            throw new RuntimeException('CACHET_ADMIN_PASSWORD is empty: set it in .env');
        }
        ($this->say)("the administrator $email was made");

        return $this->accounts->create($name === '' ? $email : $name, $email, $password);
    }

    /** @param array<int> $tokens */
    private function revoke(int $user, array $tokens): void
    {
        foreach ($tokens as $token) {
            $this->accounts->revoke($user, $token);
            ($this->say)("the older token $token was ended");
        }
    }

    /** @param list<string> $abilities */
    private static function isExact(array $abilities): bool
    {
        $needed = self::ABILITIES;
        sort($abilities);
        sort($needed);

        return $abilities === $needed;
    }
}
