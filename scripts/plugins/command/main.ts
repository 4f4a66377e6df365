import { serve } from '../serve';
import { commandPlugin } from './plugin';

void serve(commandPlugin, process.argv.slice(2));
