<?php

/**
 * Makes the administrator and the server's token in Cachet.
 *
 * Standard input: the token that is known already, or nothing. Standard output: `CACHET_API_TOKEN=…` if a new one was
 * made, else nothing. What was done is said on standard error; no secret is.
 */

declare(strict_types=1);

use Seeder\LaravelAccounts;
use Seeder\Seeder;

$cachet = getenv('CACHET_HOME') ?: '/app';
require "$cachet/vendor/autoload.php";
foreach (['Accounts', 'Seeder', 'LaravelAccounts'] as $class) {
    require __DIR__."/$class.php";
}

try {
    $app = require "$cachet/bootstrap/app.php";
    $app->make(\Illuminate\Contracts\Console\Kernel::class)->bootstrap();
    $file = getenv('CACHET_ADMIN_PASSWORD_FILE') ?: '';
    $password = $file !== '' && is_readable($file) ? rtrim((string) file_get_contents($file), "\r\n") : '';
    $say = static fn (string $sentence) => fwrite(STDERR, "seed: $sentence\n");
    $token = (new Seeder(new LaravelAccounts(), $say))->run(
        getenv('CACHET_ADMIN_NAME') ?: '',
        getenv('CACHET_ADMIN_USERNAME') ?: '',
        $password,
        trim((string) fgets(STDIN)),
    );
} catch (Throwable $fault) {
    // Its message only: a trace would show the arguments, the password among them.
    fwrite(STDERR, 'seed: '.$fault->getMessage()."\n");
    exit(1);
}
if ($token !== null) {
    echo "CACHET_API_TOKEN=$token\n";
}
