#!/bin/sh
# Makes the certificates of the tests anew; they hold for a hundred years, so that is seldom needed.
# They are for servers on this machine only, and their keys are public: nobody may ever trust them.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: > "$work/index"
echo 01 > "$work/serial"
printf '[ca]\ndefault_ca=own\n[own]\ndatabase=%s/index\nserial=%s/serial\nnew_certs_dir=%s\npolicy=any\ndefault_md=sha256\nunique_subject=no\n[any]\ncommonName=supplied\n[req]\ndistinguished_name=name\n[name]\n' \
  "$work" "$work" "$work" > "$work/config"
# name, its authority (itself for a new one), extensions, [the end]
issue() {
  openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1.key"
  openssl req -config "$work/config" -new -key "$1.key" -subj "/CN=Nightfill tests, $1" -out "$work/request"
  cp "$work/config" "$work/signing"
  printf '[v3]\n%s\n' "$3" >> "$work/signing"
  if [ "$1" = "$2" ]; then signer='-selfsign'; else signer="-cert $2.pem"; fi
  # shellcheck disable=SC2086
  openssl ca -config "$work/signing" -batch -notext -in "$work/request" $signer -keyfile "$2.key" -extensions v3 \
    -startdate 20200101000000Z -enddate "${4:-21200101000000Z}" -out "$1.pem"
}
is_authority='basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign'
issue authority authority "$is_authority"
issue stranger stranger "$is_authority"
issue server authority 'subjectAltName=DNS:localhost,DNS:*.example.test,IP:127.0.0.1'
issue expired authority 'subjectAltName=DNS:localhost,IP:127.0.0.1' 20200102000000Z
issue other-host authority 'subjectAltName=DNS:elsewhere.example.test'
issue client authority 'extendedKeyUsage=clientAuth'
issue strange-client stranger 'extendedKeyUsage=clientAuth'
rm authority.key stranger.key
chmod 644 ./*.pem ./*.key
