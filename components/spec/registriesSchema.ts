import { z } from 'zod';
import { text } from './values';

/** `registries`: where the nodes get the images of your own pods. Those of the cluster itself are in its bundle. */

const url = () =>
  text(
    /^https:\/\/[A-Za-z0-9.-]+(:[0-9]+)?(\/v2(\/[A-Za-z0-9._/-]*[A-Za-z0-9])?)?$/,
    'https://host, or https://host/v2/path where a project of the registry stands for another one',
  );

export const registries = z
  .array(
    z.strictObject({
      name: text(
        /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$/,
        'what image references begin with: a host name in lower case, with its port if it has one',
      ).meta({
        description: 'Registry as the references of images name it; lists merge by it.',
        examples: ['registry.acme.example'],
      }),
      mirrors: z
        .array(url())
        .default([])
        .meta({
          description:
            'Where its images are pulled from instead, in this order; the registry itself is then not asked, unless it is one of them.',
          examples: [['https://mirror.acme.example/v2/docker-hub']],
        }),
      ca: z.string().optional().meta({
        description:
          'Certificates of the authorities that signed for the registry or its mirrors, in PEM. Default: those that the nodes trust.',
      }),
      username: text(/^[^\s:]+$/, 'a name without spaces and colons')
        .optional()
        .meta({
          description:
            'User to pull as, here and at every mirror. The password is a secret of the site: `sitewright secrets set <site> registryPassword-<registry>`.',
        }),
    }),
  )
  .default([])
  .meta({ description: 'Registries of your own images: mirrors, authorities and log-ins. Merged by name.' });
