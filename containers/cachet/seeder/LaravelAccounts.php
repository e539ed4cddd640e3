<?php

declare(strict_types=1);

namespace Seeder;

use Illuminate\Support\Facades\Hash;
use Illuminate\Support\Facades\Schema;
use Laravel\Sanctum\PersonalAccessToken;

/** The accounts of a Cachet that has been started: its user model, and Sanctum's tokens. */
final class LaravelAccounts implements Accounts
{
    public function find(string $email): ?int
    {
        return $this->users()->where('email', $email)->first()?->getKey();
    }

    public function create(string $name, string $email, string $password): int
    {
        $user = $this->users()->newModelInstance();
        $values = ['name' => $name, 'email' => $email, 'password' => Hash::make($password)];
        // Older releases know no other users than administrators.
        if (Schema::hasColumn($user->getTable(), 'is_admin')) {
            $values['is_admin'] = true;
        }
        if (Schema::hasColumn($user->getTable(), 'email_verified_at')) {
            $values['email_verified_at'] = now();
        }
        $user->forceFill($values)->save();

        return $user->getKey();
    }

    public function tokens(int $user, string $name): array
    {
        return $this->users()->findOrFail($user)->tokens()->where('name', $name)->get()
            ->mapWithKeys(fn ($token) => [$token->getKey() => array_values($token->abilities ?? [])])->all();
    }

    public function identify(string $plainText): ?int
    {
        $token = PersonalAccessToken::findToken($plainText);
        if ($token === null || $token->expires_at?->isPast()) {
            return null;
        }

        return $token->getKey();
    }

    public function issue(int $user, string $name, array $abilities): string
    {
        return $this->users()->findOrFail($user)->createToken($name, $abilities)->plainTextToken;
    }

    public function revoke(int $user, int $token): void
    {
        $this->users()->findOrFail($user)->tokens()->whereKey($token)->delete();
    }

    private function users(): \Illuminate\Database\Eloquent\Builder
    {
        return config('cachet.user_model', \App\Models\User::class)::query();
    }
}
