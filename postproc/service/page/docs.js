// The documentation at /docs: Swagger UI on the service's own OpenAPI document.
"use strict";

window.SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  showExtensions: true,
  showCommonExtensions: true,
  validatorUrl: null, // else the document's address is told to a service elsewhere
});
