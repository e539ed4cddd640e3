<?php

/** The public page, /api/ping, what PHP was told of the reader, and dev/fake-cachet behind everything else. */

declare(strict_types=1);

$config = require getenv('APP_CONFIG_CACHE');
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/api/ping') {
    $address = "pgsql:host={$config['DB_HOST']};port={$config['DB_PORT']};dbname={$config['DB_DATABASE']}";
    (new PDO($address, $config['DB_USERNAME'], $config['DB_PASSWORD']))->query('SELECT 1 FROM starts LIMIT 1');
    header('Content-Type: application/json');
    exit('{"data": "Pong!"}');
}
if ($path === '/') {
    exit('<!DOCTYPE html><title>Status</title>');
}
if ($path === '/reader') {
    header('Content-Type: application/json');
    exit(json_encode(['address' => $_SERVER['REMOTE_ADDR'], 'https' => $_SERVER['HTTPS'] ?? '', 'host' => $_SERVER['HTTP_HOST'],
        'environment' => array_keys(getenv())]));
}

$call = curl_init('http://127.0.0.1:5001'.$_SERVER['REQUEST_URI']);
$headers = array_filter([
    isset($_SERVER['HTTP_AUTHORIZATION']) ? "Authorization: {$_SERVER['HTTP_AUTHORIZATION']}" : null,
    isset($_SERVER['CONTENT_TYPE']) ? "Content-Type: {$_SERVER['CONTENT_TYPE']}" : null,
    'Accept: application/json',
]);
curl_setopt_array($call, [
    CURLOPT_CUSTOMREQUEST => $_SERVER['REQUEST_METHOD'],
    CURLOPT_HTTPHEADER => $headers,
    CURLOPT_POSTFIELDS => file_get_contents('php://input'),
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_TIMEOUT => 10,
]);
$body = curl_exec($call);
http_response_code($body === false ? 502 : curl_getinfo($call, CURLINFO_RESPONSE_CODE));
header('Content-Type: '.(curl_getinfo($call, CURLINFO_CONTENT_TYPE) ?: 'text/plain'));
echo $body;
