import type { Clock } from '../../resilience/clock.ts';
import type { ApiOptions, AuthOptions } from '../api/api-options.ts';
import type { OnRest } from '../api/api-request.ts';
import { type Credentials, sendable } from './credentials.ts';
import { OAuthToken, type SendForm } from './oauth-token.ts';
import { redactorOf } from './redact-echoes.ts';

/** Creates the credentials of one API. `sendForm` is used for OAuth tokens only. Throws CREDENTIALS_UNUSABLE. */
export function createCredentials(
  auth: AuthOptions,
  options: { api: string; sendForm: SendForm; retry: ApiOptions['retry']; onRest: OnRest; clock: Clock },
): Credentials {
  switch (auth.type) {
    case 'none':
      return fixed({}, []);
    case 'bearer': {
      const token = sendable(auth.token.reveal(), options.api);
      return fixed({ authorization: `Bearer ${token}` }, [token]);
    }
    case 'header': {
      const value = sendable(auth.value.reveal(), options.api);
      return fixed({ [auth.name.toLowerCase()]: value }, [value]);
    }
    case 'basic': {
      // RFC 7617: user-id ":" password, UTF-8, base64.
      const password = auth.password.reveal();
      const pair = Buffer.from(`${auth.username}:${password}`).toString('base64');
      return fixed({ authorization: `Basic ${pair}` }, [pair, password]);
    }
    case 'oauth2':
      return new OAuthToken(auth, options);
    default:
      return auth satisfies never;
  }
}

function fixed(headers: Record<string, string>, secrets: string[]): Credentials {
  return {
    rests: undefined,
    headers: async () => Promise.resolve(headers),
    refused: () => false,
    accepted: () => undefined,
    redact: redactorOf(secrets),
  };
}
