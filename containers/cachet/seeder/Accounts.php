<?php

declare(strict_types=1);

namespace Seeder;

/** What the seeder asks of Cachet's database. A user and a token are named by their ids. */
interface Accounts
{
    /** The user who logs in with this mail address; null: there is none. */
    public function find(string $email): ?int;

    /** Makes an administrator. */
    public function create(string $name, string $email, string $password): int;

    /**
     * The tokens of the user with this name.
     *
     * @return array<int, list<string>> the abilities by the token's id
     */
    public function tokens(int $user, string $name): array;

    /** The id of the token whose plain text this is; null: there is none, or it has expired. */
    public function identify(string $plainText): ?int;

    /**
     * Makes a token, and gives its plain text, which cannot be had again.
     *
     * @param list<string> $abilities
     */
    public function issue(int $user, string $name, array $abilities): string;

    /** Makes a token invalid. */
    public function revoke(int $user, int $token): void;
}
