import { serve } from '../serve';
import { kubernetesPlugin } from './plugin';

void serve(kubernetesPlugin(), process.argv.slice(2));
