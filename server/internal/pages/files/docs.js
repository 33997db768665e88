'use strict';

(() => {
  const safe = ['GET', 'HEAD', 'OPTIONS'];

  // A request with the session cookie needs a token, which only pages of this origin
  // can read. One with a credential of its own needs none.
  async function addToken(request) {
    const url = new URL(request.url, location.href);
    const method = (request.method ?? 'GET').toUpperCase();
    const names = Object.keys(request.headers ?? {}).map((name) => name.toLowerCase());
    if (safe.includes(method) || url.origin !== location.origin ||
        ['x-api-key', 'authorization', 'x-csrf-token'].some((name) => names.includes(name))) {
      return request;
    }
    const answer = await fetch('/csrf/token');
    if (answer.ok) {
      const { header, csrf_token: token } = await answer.json();
      request.headers = { ...request.headers, [header]: token };
    }
    return request;
  }

  // Descriptions are shown as the text they are: nothing here becomes markup, and
  // the page needs no policy of trusted types.
  const plainText = (system) => ({
    components: {
      Markdown: ({ source }) => system.React.createElement('p', null, source),
    },
  });

  SwaggerUIBundle({
    url: '/openapi.json',
    dom_id: '#swagger-ui',
    presets: [SwaggerUIBundle.presets.apis],
    plugins: [plainText],
    layout: 'BaseLayout',
    validatorUrl: null,
    requestInterceptor: addToken,
  });
})();
