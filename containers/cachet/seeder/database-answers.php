<?php

/**
 * Exit code 0 if the database lets Cachet in; else its own words on stdout, and 1.
 *
 * It needs no Laravel, which would take a second each time.
 */

declare(strict_types=1);

$of = static fn (string $name, string $else = ''): string => getenv($name) ?: $else;

if ($of('DB_CONNECTION', 'pgsql') !== 'pgsql') {
    echo 'DB_CONNECTION must be pgsql: correct it in .env';
    exit(1);
}
$address = sprintf('pgsql:host=%s;port=%s;dbname=%s;connect_timeout=3', $of('DB_HOST'), $of('DB_PORT', '5432'), $of('DB_DATABASE'));

try {
    (new PDO($address, $of('DB_USERNAME'), $of('DB_PASSWORD'), [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]))->query('SELECT 1');
} catch (PDOException $refusal) {
    echo str_replace("\n", ' ', trim($refusal->getMessage()));
    exit(1);
}
