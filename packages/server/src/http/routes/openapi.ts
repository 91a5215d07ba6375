import Type from 'typebox';

import type { Routes } from '../context.js';
import { jsonAnswer } from '../description.js';

const documentSchema = Type.Object({ openapi: Type.Literal('3.1.0') }, { description: 'OpenAPI.' });

/** The route `GET /openapi.json`. */
export const openapiRoutes: Routes = (app) => {
  const schema = {
    operationId: 'getDescription',
    summary: 'This description.',
    tags: ['probes'],
    response: { 200: jsonAnswer('The description.', documentSchema) },
  };
  app.get('/openapi.json', { schema }, () => app.swagger());
};
